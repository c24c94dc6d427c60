"""Object stores and remote file systems that a `folder` can lie in: one file per protocol, each loaded when it is first asked for."""
