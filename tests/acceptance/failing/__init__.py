"""An app whose tasks fail in every way there is; workers load it by `IMAGE_EXTRA_APPS`."""
