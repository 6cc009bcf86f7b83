"""The register of vouchers at headquarters: lists of codes come in, terminals follow what they make of it."""
