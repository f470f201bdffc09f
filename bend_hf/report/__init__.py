"""How results look: tables for terminals and papers, the report's page, charts and pictures of windows."""
