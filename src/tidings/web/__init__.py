"""Everything HTTP; the only importer of the web framework."""
