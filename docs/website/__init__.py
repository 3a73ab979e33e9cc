"""The pages of the documentation that are generated, and what turns them into a site: see ``mkdocs.yml``."""
