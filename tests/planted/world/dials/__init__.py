"""An app that dials out when it is set up."""
