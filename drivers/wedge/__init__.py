"""Keyboard-wedge readers: stripe readers that type what they read, taken off the keyboard before any page sees it."""
