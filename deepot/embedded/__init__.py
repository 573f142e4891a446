"""The default autoencoder's weights, described in MODEL_CARD.md beside this file."""
