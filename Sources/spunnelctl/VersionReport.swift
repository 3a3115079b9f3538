// `spunnelctl --version`: this build, the Slurm that it was built for, and the Slurm on this host.

import CBuild
import Glibc
import SpunnelCLI
import SpunnelSystem

/// The versions that must fit together.
struct VersionReport {
  /// The commit of this build and its date; empty when unknown.
  let build: String
  /// The release that spunnel-jobs was compiled for, such as `22.05.8`, or why it is unknown.
  let builtFor: Result<String, VersionProblem>
  /// The release of the srun on `PATH`, or why it is unknown.
  let running: Result<String, VersionProblem>

  /// Asks spunnel-jobs and srun for their versions.
  static func current() -> VersionReport {
    VersionReport(
      build: unsafe String(cString: spunnel_build()), builtFor: askHelper(), running: askSlurm())
  }

  /// Prints the versions.
  ///
  /// - Returns: failure when the plugin was built for another release than that of this host
  static func show() throws(CommandError) -> ExitCode {
    let report = current()
    try say(report.lines.joined(separator: "\n"))
    return report.fits ? .success : .failure
  }

  /// Whether year and month of both releases are the same. Otherwise Slurm does not load the
  /// plugin.
  var fits: Bool {
    guard case .success(let built) = builtFor else { return false }
    guard case .success(let running) = running else { return true }
    return VersionReport.release(built) == VersionReport.release(running)
  }

  /// Whether both releases are known.
  var isKnown: Bool {
    if case .success = builtFor, case .success = running { return true }
    return false
  }

  var lines: [String] {
    var lines = ["spunnel \(spunnelVersion)" + (build.isEmpty ? "" : " (\(build))")]
    switch (builtFor, running) {
    case (.success(let built), .success(let running)):
      lines.append("built for Slurm \(built); Slurm \(running) runs here")
    case (.success(let built), .failure(let problem)):
      lines.append("built for Slurm \(built); the Slurm here is unknown: \(problem.reason)")
    case (.failure(let problem), _):
      lines.append("the Slurm that this is built for is unknown: \(problem.reason)")
    }
    if !fits {
      lines.append("build the plugin again for the Slurm here: make slurm && make install-slurm")
    }
    return lines
  }

  /// The year and month of a release: `22.05` for `22.05.8`.
  static func release(_ version: String) -> Substring {
    let parts = version.split(separator: ".", maxSplits: 2)
    guard parts.count >= 2 else { return version[...] }
    return version[version.startIndex..<parts[1].endIndex]
  }

  /// Reads the output of `srun --version`: `slurm 22.05.8`, or Debian's `slurm-wlm 22.05.8`.
  static func version(in output: String) -> String? {
    let words = output.split(separator: "\n").first {
      $0.hasPrefix("slurm ") || $0.hasPrefix("slurm-wlm ")
    }?.split(
      separator: " ")
    guard let words, words.count == 2 else { return nil }
    return String(words[1])
  }

  private static func askHelper() -> Result<String, VersionProblem> {
    guard let installation = Installation.current else {
      return .failure(VersionProblem(reason: Installation.absence))
    }
    return run(installation.jobs, ["version"])
  }

  private static func askSlurm() -> Result<String, VersionProblem> {
    guard let srun = Program.find("srun") else {
      return .failure(VersionProblem(reason: "srun is not on PATH"))
    }
    return run(srun, ["--version"])
  }

  private static func run(_ path: String, _ words: [String]) -> Result<String, VersionProblem> {
    do throws(SystemError) {
      let result = try Program(path, words, environment: Process.environment())
        .capture(milliseconds: 20_000)
      if result.succeeded, let version = version(in: result.output) { return .success(version) }
      return .failure(VersionProblem(reason: printable(result.lastLine)))
    } catch {
      return .failure(VersionProblem(reason: "\(path): \(error)"))
    }
  }
}

/// The reason why a version is unknown.
struct VersionProblem: Error {
  let reason: String
}
