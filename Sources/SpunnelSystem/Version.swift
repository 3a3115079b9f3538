// The version of the whole product.

/// As semver.org counts; NEWS.md tells what each brought.
public let spunnelVersion = "0.1.0"
