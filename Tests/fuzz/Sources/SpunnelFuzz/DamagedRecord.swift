// A record on disk whose files hold anything.

import Glibc

/// One stale record of this user in a folder of its own, removed with the process.
final class DamagedRecord {
  nonisolated(unsafe) static let shared = DamagedRecord()

  let base: String
  private let folder: String

  /// Makes the folders, and sends what commands print to nowhere.
  private init() {
    var template = Array("/dev/shm/spunnel-fuzz.XXXXXX".utf8CString)
    _ = mkdtemp(&template)
    base = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    let state = "\(base)/spunnel-\(getuid())"
    folder = "\(state)/12.0"
    mkdir(state, 0o700)
    mkdir(folder, 0o700)
    setenv("SLURM_CONF", "/dev/null", 1)
    let null = Glibc.open("/dev/null", O_WRONLY)
    dup2(null, 1)
    atexit { DamagedRecord.shared.remove() }
  }

  func write(_ name: String, _ bytes: some Collection<UInt8>) {
    let file = Glibc.open("\(folder)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
    let content = Array(bytes)
    _ = Glibc.write(file, content, content.count)
    Glibc.close(file)
  }

  private func remove() {
    for name in ["host", "status", "log"] { unlink("\(folder)/\(name)") }
    rmdir(folder)
    rmdir("\(base)/spunnel-\(getuid())")
    rmdir(base)
  }
}
