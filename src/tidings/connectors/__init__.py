"""Where knowledge comes from: one file per kind of data source, behind one small protocol (`base`), found by name (`registry`)."""
