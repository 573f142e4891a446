"""Autoencoders: loading, placing on a device, receptive field and statistics shared by tiles."""
