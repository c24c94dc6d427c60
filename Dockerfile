# Tidings with the locked packages: docs/guides/run-in-a-container.md. All that is kept lies in /data.
FROM python:3.11-slim

RUN useradd --system --uid 10001 --home-dir /data --create-home tidings && chmod 700 /data
WORKDIR /opt/tidings
COPY requirements.lock ./
RUN pip install --no-cache-dir --require-hashes --requirement requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip install --no-cache-dir --no-deps --no-build-isolation .

ENV TIDINGS_HOME=/data
USER tidings
VOLUME /data
EXPOSE 8700
HEALTHCHECK --start-period=30s CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8700/readyz', timeout=5)"]
CMD ["tidings", "serve", "--host", "0.0.0.0"]
