// swift-tools-version: 6.3
// What SwiftPM builds: the core, the keeper and the command. The plugin that Slurm loads
// (Sources/SpunnelC) is C compiled against one Slurm version, needs no Swift, and is built by the
// Makefile: a target that defines `slurm_spank_*` must never be linked into a program or a test.

import PackageDescription

let strict: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .strictMemorySafety(),
  .treatAllWarnings(as: .error),
  // Generic functions of one module are specialised in the others, as if all were one.
  .unsafeFlags(["-cross-module-optimization"], .when(configuration: .release)),
]

/// For what is linked into srun and the keeper: without Swift's regular expressions, a seventh of it.
let small =
  strict + [
    .unsafeFlags(["-Xfrontend", "-disable-implicit-string-processing-module-import"])
  ]

let package = Package(
  name: "Spunnel",
  products: [
    .library(name: "Spunnel", type: .dynamic, targets: ["Spunnel"]),
    .executable(name: "spunnel-keeper", targets: ["spunnel-keeper"]),
    .executable(name: "spunnel-pool", targets: ["spunnel-pool"]),
    .executable(name: "spunnelctl", targets: ["spunnelctl"]),
    .executable(name: "spunnel-session", targets: ["spunnel-session"]),
  ],
  targets: [
    .target(name: "SpunnelInterface"),
    .target(name: "CSystem"),
    .target(name: "CBuild"),
    .target(name: "SpunnelSystem", dependencies: ["CSystem"], swiftSettings: small),
    .target(name: "SpunnelSlurm", dependencies: ["SpunnelSystem"], swiftSettings: small),
    .target(
      name: "SpunnelTunnel", dependencies: ["SpunnelSlurm", "SpunnelSystem"], swiftSettings: small),
    .target(
      name: "SpunnelKeeper",
      dependencies: ["SpunnelTunnel", "SpunnelSlurm", "SpunnelSystem", "CBuild"],
      swiftSettings: small),
    .target(
      name: "Spunnel",
      dependencies: [
        "SpunnelInterface", "SpunnelTunnel", "SpunnelSlurm", "SpunnelSystem", "CBuild",
      ],
      swiftSettings: small,
      // One file that needs no Swift on the machine: the plugin opens it inside srun. Not for tests,
      // which take their target's flags over and do not link with a static Foundation.
      linkerSettings: [
        .unsafeFlags(
          [
            "-static-stdlib",
            // build/static has the C++ runtime as an archive, of which lld takes what is used, and
            // the versions of libc's functions to link with (Packaging/floor). lld also lays what
            // srun loads out so that fewer pages are touched.
            "-use-ld=lld", "-L", "\(Context.packageDirectory)/build/static",
            // Nothing but the contract is seen from outside: not the Swift runtime in it either.
            "-Xlinker", "--version-script=\(Context.packageDirectory)/core-exports.map",
          ], .when(configuration: .release))
      ]
    ),
    .executableTarget(
      name: "spunnel-keeper",
      dependencies: ["SpunnelKeeper"],
      swiftSettings: small,
      // No loader, no relocations: a keeper costs half the memory of a dynamic one. No sanitizer
      // can be linked into such a program.
      linkerSettings: [.unsafeFlags(["-static-executable"], .when(configuration: .release))]
    ),
    .target(name: "SpunnelPool", dependencies: ["CSystem", "SpunnelSystem"], swiftSettings: small),
    // Coordinator and agent of a pool: it runs on nodes without Swift, as the keeper does.
    .executableTarget(
      name: "spunnel-pool",
      dependencies: ["SpunnelPool"],
      swiftSettings: small,
      linkerSettings: [.unsafeFlags(["-static-executable"], .when(configuration: .release))]
    ),
    .target(
      name: "CYaml",
      // In the program, as a machine that runs it may have no libyaml.
      linkerSettings: [.unsafeFlags(["-Xlinker", "-l:libyaml.a"])]
    ),
    .target(
      name: "SpunnelQueue",
      dependencies: ["CSystem", "CYaml", "SpunnelSlurm", "SpunnelSystem"],
      swiftSettings: small
    ),
    .target(
      name: "SpunnelCluster",
      dependencies: ["SpunnelTunnel", "SpunnelSlurm", "SpunnelSystem"],
      swiftSettings: strict
    ),
    .target(
      name: "SpunnelCLI",
      dependencies: ["SpunnelSystem"],
      swiftSettings: strict
    ),
    .target(
      name: "SpunnelSession",
      dependencies: ["CSystem", "SpunnelSlurm", "SpunnelSystem"],
      swiftSettings: small
    ),
    .executableTarget(
      name: "spunnel-session",
      dependencies: ["SpunnelSession"],
      swiftSettings: small,
      // One file for nodes of any distribution.
      linkerSettings: [.unsafeFlags(["-static-executable"], .when(configuration: .release))]
    ),
    .executableTarget(
      name: "spunnelctl",
      dependencies: [
        "SpunnelTunnel", "SpunnelSlurm", "SpunnelSystem", "SpunnelCluster", "SpunnelCLI",
        "SpunnelPool", "SpunnelQueue", "SpunnelSession", "CBuild",
      ],
      swiftSettings: strict,
      linkerSettings: [
        // Not for tests, which link the command's commands and reports.
        .unsafeFlags(["-static-stdlib"], .when(configuration: .release)),
        // The oldest C library that Packaging/floor links for kept threads and dlopen in libraries
        // of their own. A newer one still has both, empty.
        .unsafeFlags(
          [
            "-use-ld=lld", "-L", "\(Context.packageDirectory)/build/static",
            "-L", "\(Context.packageDirectory)/build/static/programs",
            "-Xlinker", "--no-as-needed", "-lpthread", "-ldl",
            // The machine's libgcc_s needs its own libc, which is newer.
            "-Xlinker", "--allow-shlib-undefined",
          ], .when(configuration: .release)),
      ]
    ),
    .testTarget(
      name: "SpunnelTests",
      dependencies: [
        "Spunnel", "SpunnelKeeper", "SpunnelTunnel", "SpunnelSlurm", "SpunnelSystem",
        "SpunnelCLI", "SpunnelCluster", "SpunnelPool", "SpunnelQueue", "SpunnelSession",
        "spunnelctl",
      ],
      swiftSettings: strict),
  ]
)
