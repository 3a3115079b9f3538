// swift-tools-version: 6.3
// Fuzz targets for everything that reads text or bytes from outside, built with libFuzzer and the
// address sanitizer. A package of its own: these flags must reach neither the product nor its tests.
// `Sources` has links to the product's own sources, so that both are always the same.

import PackageDescription

// Optimised, because ten million runs are many; testable, because what parses is mostly internal.
let fuzzed: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .unsafeFlags(["-O", "-enable-testing", "-sanitize=fuzzer,address"]),
]
let fuzzedC: [CSetting] = [.unsafeFlags(["-O2", "-fsanitize=address"])]

let package = Package(
  name: "SpunnelFuzz",
  targets: [
    .target(name: "CSystem", cSettings: fuzzedC),
    .target(name: "SpunnelSystem", dependencies: ["CSystem"], swiftSettings: fuzzed),
    .target(name: "SpunnelSlurm", dependencies: ["SpunnelSystem"], swiftSettings: fuzzed),
    .target(
      name: "SpunnelTunnel", dependencies: ["SpunnelSlurm", "SpunnelSystem"], swiftSettings: fuzzed),
    .target(
      name: "SpunnelKeeper", dependencies: ["SpunnelTunnel", "SpunnelSlurm", "SpunnelSystem"],
      swiftSettings: fuzzed),
    .target(
      name: "SpunnelCluster", dependencies: ["SpunnelTunnel", "SpunnelSlurm", "SpunnelSystem"],
      swiftSettings: fuzzed),
    .target(name: "SpunnelCLI", dependencies: ["SpunnelSystem"], swiftSettings: fuzzed),
    .target(name: "CBuild"),
    .target(
      name: "CYaml", cSettings: fuzzedC,
      linkerSettings: [.unsafeFlags(["-Xlinker", "-l:libyaml.a"])]),
    .target(
      name: "SpunnelPool", dependencies: ["CSystem", "SpunnelSystem"], swiftSettings: fuzzed),
    .target(
      name: "SpunnelQueue", dependencies: ["CSystem", "CYaml", "SpunnelSlurm", "SpunnelSystem"],
      swiftSettings: fuzzed),
    .target(
      name: "SpunnelSession", dependencies: ["CSystem", "SpunnelSlurm", "SpunnelSystem"],
      swiftSettings: fuzzed),
    .target(
      name: "spunnelctl",
      dependencies: [
        "SpunnelTunnel", "SpunnelSlurm", "SpunnelSystem", "SpunnelCluster", "SpunnelCLI",
        "SpunnelPool", "SpunnelQueue", "SpunnelSession", "CBuild",
      ],
      exclude: ["main.swift"],
      swiftSettings: fuzzed + [.unsafeFlags(["-parse-as-library"])]),
    .target(name: "LibFuzzer"),
    .executableTarget(
      name: "SpunnelFuzz",
      dependencies: [
        "LibFuzzer", "SpunnelKeeper", "SpunnelTunnel", "SpunnelSlurm", "SpunnelSystem",
        "spunnelctl",
      ],
      swiftSettings: fuzzed,
      // lld: gold stumbles over the sanitizer's debug information.
      linkerSettings: [.unsafeFlags(["-sanitize=fuzzer,address", "-use-ld=lld"])]),
  ]
)
