// The version of the whole product.

/// A version of semver.org. NEWS.md lists the changes of each.
public let spunnelVersion = "0.1.0"
