// What `spunnelctl --version` says of the Slurm that it was built for.

import SpunnelSystem
import Testing

@testable import spunnelctl

struct VersionTests {
  private func report(
    _ built: Result<String, VersionProblem>, _ running: Result<String, VersionProblem>
  ) -> VersionReport {
    VersionReport(build: "commit 0123abc, 2026-11-30", builtFor: built, running: running)
  }

  @Test func theBuildIsNamed() {
    let lines = report(.success("22.05.8"), .success("22.05.11")).lines
    #expect(
      lines == [
        "spunnel \(spunnelVersion) (commit 0123abc, 2026-11-30)",
        "built for Slurm 22.05.8; Slurm 22.05.11 runs here",
      ])
  }

  @Test func anotherReleaseDoesNotFit() {
    let other = report(.success("22.05.8"), .success("22.11.0"))
    #expect(!other.fits)
    #expect(other.lines.last?.contains("make slurm && make install-slurm") == true)
  }

  @Test func aSlurmThatIsNotHereIsNoMismatch() {
    let alone = report(.success("22.05.8"), .failure(VersionProblem(reason: "srun is not on PATH")))
    #expect(alone.fits)
    #expect(
      alone.lines[1] == "built for Slurm 22.05.8; the Slurm here is unknown: srun is not on PATH")
  }

  @Test func aHelperThatDoesNotRunDoesNotFit() {
    #expect(!report(.failure(VersionProblem(reason: "libslurm.so.38")), .success("24.11.1")).fits)
  }

  @Test(arguments: [
    ("slurm 22.05.8\n", "22.05.8"), ("slurm-wlm 22.05.8\n", "22.05.8"),
    ("srun: warning\nslurm 24.11.0-0rc1\n", "24.11.0-0rc1"),
  ])
  func versionOfSlurm(output: String, version: String) {
    #expect(VersionReport.version(in: output) == version)
  }

  @Test func whatIsNoVersion() {
    #expect(VersionReport.version(in: "srun: fatal: no configuration\n") == nil)
    #expect(VersionReport.release("22.05.8") == "22.05")
  }
}
