// The running processes of this user, as /proc shows them (proc(5)).

import Glibc

/// One running process.
public struct ProcessEntry: Sendable {
  public let id: pid_t
  /// The argument vector. Some programs overwrite it with a title.
  public let arguments: [String]

  public init(id: pid_t, arguments: [String]) {
    self.id = id
    self.arguments = arguments
  }

  /// The process id of its session's leader.
  public var session: pid_t { getsid(id) }

  /// The `NAME=value` entries that it was started with; empty if it has ended.
  public var environment: [String] { ProcessTable.strings("/proc/\(id)/environ") }

  /// The proportional set size in KiB: its own pages and its share of shared pages.
  public var memory: Int {
    let text = ProcessTable.content("/proc/\(id)/smaps_rollup") ?? []
    let lines = String(decoding: text, as: UTF8.self).split(separator: "\n")
    guard let line = lines.first(where: { $0.hasPrefix("Pss:") }) else { return 0 }
    return line.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
  }
}

/// Looks up processes in /proc.
public enum ProcessTable {
  /// All processes that this user owns in /proc. A zombie has no arguments and is left out.
  public static func own() -> [ProcessEntry] {
    var entries: [ProcessEntry] = []
    do throws(SystemError) {
      for name in try Directory.open("/proc").names() {
        guard let id = pid_t(name), owner("/proc/\(name)") == geteuid() else { continue }
        let arguments = strings("/proc/\(name)/cmdline")
        if !arguments.isEmpty { entries.append(ProcessEntry(id: id, arguments: arguments)) }
      }
    } catch { return [] }
    return entries
  }

  /// Whether a process runs: it has neither ended nor become a zombie.
  public static func isRunning(_ id: pid_t) -> Bool { !strings("/proc/\(id)/cmdline").isEmpty }

  /// The ancestors of this process, the nearest first.
  public static func ancestors() -> [pid_t] {
    var line: [pid_t] = []
    var next = getppid()
    while next > 1, line.count < 64 {
      line.append(next)
      guard let parent = parent(of: next) else { break }
      next = parent
    }
    return line
  }

  private static func parent(of id: pid_t) -> pid_t? {
    fields(stat: content("/proc/\(id)/stat") ?? []).dropFirst().first.flatMap { pid_t($0) }
  }

  /// The fields of /proc/PID/stat after the name, starting with the state (proc(5)). The name
  /// stands in parentheses and may contain any character.
  package static func fields(stat content: [UInt8]) -> [Substring] {
    let text = String(decoding: content, as: UTF8.self)
    guard let end = text.lastIndex(of: ")") else { return [] }
    return text[end...].split(separator: " ").dropFirst().map { $0 }
  }

  private static func owner(_ path: String) -> uid_t? {
    var found = stat()
    return unsafe stat(path, &found) == 0 ? found.st_uid : nil
  }

  fileprivate static func strings(_ path: String) -> [String] {
    (content(path) ?? []).split(separator: 0).map { String(decoding: $0, as: UTF8.self) }
  }

  fileprivate static func content(_ path: String) -> [UInt8]? {
    do throws(SystemError) {
      let file = try FileDescriptor.open(path, O_RDONLY)
      var content: [UInt8] = []
      while let more = try file.read(atMost: 65536), !more.isEmpty { content += more }
      return content
    } catch { return nil }
  }
}
