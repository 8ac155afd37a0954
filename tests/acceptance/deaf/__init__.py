"""An app with tasks for `test_clients`."""
