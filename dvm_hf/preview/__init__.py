"""Look at clips: a page, a contact sheet, a video."""
