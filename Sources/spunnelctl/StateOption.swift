// How this site has set the plugin up: on the command line, or as plugstack.conf says.

import Glibc
import Spunnel

/// The words of a command, once the options that all commands share are taken out.
struct StateOption {
  let stateDirectory: String
  /// The plugin's arguments, for a keeper.
  let arguments: [String]
  let rest: [String]

  /// Takes `--state-dir DIR` out of the words.
  init(_ words: [String]) throws(CommandError) {
    var rest: [String] = []
    var directory: String?
    var next = words.makeIterator()
    while let word = next.next() {
      if word == "--state-dir" {
        directory = next.next()
        if directory == nil { throw .usage("--state-dir wants a directory") }
      } else if word.hasPrefix("--state-dir=") {
        directory = String(word.dropFirst("--state-dir=".count))
      } else {
        rest.append(word)
      }
    }
    if let directory, !directory.hasPrefix("/") {
      throw .usage("--state-dir '\(printable(directory))' is no absolute path")
    }
    let line = try PluginLine.find()
    stateDirectory = directory ?? line?.settings.stateDirectory ?? Settings().stateDirectory
    // The last one counts.
    arguments = (line?.arguments ?? []) + (directory.map { ["state_dir=\($0)"] } ?? [])
    self.rest = rest
  }
}

/// The plugin's line in plugstack.conf, as far as a user's command can read it.
private struct PluginLine {
  let arguments: [String]
  let settings: Settings

  /// - Returns: the first line that names `spunnel.so`; `nil` when there is none
  /// - Throws: what is wrong with its arguments: srun refuses them as well
  static func find() throws(CommandError) -> PluginLine? {
    let configuration = environment("SLURM_CONF") ?? "/etc/slurm/slurm.conf"
    guard let end = configuration.lastIndex(of: "/") else { return nil }
    return try find(in: configuration[..<end] + "/plugstack.conf", depth: 0)
  }

  private static func find(in path: String, depth: Int) throws(CommandError) -> PluginLine? {
    guard depth < 8, let text = content(of: path) else { return nil }
    for line in text.split(separator: "\n") {
      let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
      guard words.count >= 2, !words[0].hasPrefix("#") else { continue }
      if words[0] == "include" {
        for file in matches(of: words[1]) {
          if let line = try find(in: file, depth: depth + 1) { return line }
        }
      } else if words[1].hasSuffix("spunnel.so") {
        let arguments = Array(words[2...])
        do throws(SettingsError) {
          return PluginLine(arguments: arguments, settings: try Settings(arguments: arguments))
        } catch { throw .failure("plugstack.conf: \(error)") }
      }
    }
    return nil
  }

  private static func environment(_ name: String) -> String? {
    guard let value = unsafe getenv(name) else { return nil }
    return unsafe String(cString: value)
  }

  private static func content(of path: String) -> String? {
    guard let file = unsafe fopen(path, "re") else { return nil }
    defer { unsafe fclose(file) }
    var bytes = [UInt8](repeating: 0, count: 1 << 20)
    let count = unsafe fread(&bytes, 1, bytes.count, file)
    return String(decoding: bytes.prefix(count), as: UTF8.self)
  }

  /// glob(3), as Slurm reads `include /etc/slurm/plugstack.conf.d/*.conf`.
  private static func matches(of pattern: String) -> [String] {
    var result = unsafe glob_t()
    defer { unsafe globfree(&result) }
    guard unsafe glob(pattern, 0, nil, &result) == 0 else { return [] }
    return (0..<Int(unsafe result.gl_pathc)).compactMap { index in
      guard let path = unsafe result.gl_pathv[index] else { return nil }
      return unsafe String(cString: path)
    }
  }
}
