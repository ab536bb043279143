"""gradcheck beside its peers, on the same right and wrong gradients."""
