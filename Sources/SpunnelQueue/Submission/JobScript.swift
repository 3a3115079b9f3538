// The batch script that runs a command line: words that no shell reads a second time.

import SpunnelSystem

/// What a job runs.
package enum JobWork: Equatable, Sendable {
  /// A program with its arguments, as they were typed.
  case words([ByteString])
  /// A text for a shell, as a job file has it.
  case shell(String)
}

/// The text of a batch script, for sbatch's standard input.
package struct JobScript: Equatable, Sendable {
  package let bytes: [UInt8]

  /// - Parameters:
  ///   - work: what runs
  ///   - runner: the path of spunnel-run; the job goes without it where the node has none
  ///   - records: the folder for its note
  ///   - hostFile: where `%hostfile%` is written; `nil`: in a file of the job's own
  ///   - threads: what `%threads%` stands for
  ///   - lines: a file; each task of the array has the line of its number in `$SPUNNEL_LINE`, and
  ///     instead of a word that is `{}`
  package init(
    _ work: JobWork, runner: String?, records: String?, hostFile: String? = nil,
    threads: Int = 1, lines: String? = nil
  ) {
    var script = Writer()
    script.add("#!/bin/sh\n# Made by spunnelctl submit.\n")
    let marks = JobScript.marks(in: work)
    if marks.host { script.add(JobScript.hostFileLines(hostFile)) }
    if let lines {
      script.add("SPUNNEL_LINE=$(sed -n \"${SLURM_ARRAY_TASK_ID}{p;q;}\" ")
      script.add(word: ByteString(lines))
      script.add(")\nexport SPUNNEL_LINE\n")
    }
    script.add("set --")
    switch work {
    case .words(let words):
      for word in words {
        script.add(" ")
        if lines != nil, word.text == "{}" {
          script.add("\"$SPUNNEL_LINE\"")
        } else {
          script.add(word: word)
        }
      }
    case .shell(let text):
      let replaced = text.replacing("%hostfile%", with: "\"$SPUNNEL_HOSTFILE\"")
        .replacing("%threads%", with: String(threads))
      script.add(" /bin/sh -c ")
      script.add(word: ByteString(replaced))
    }
    script.add("\n")
    if let runner, let records {
      script.add("runner=")
      script.add(word: ByteString(runner))
      script.add("\n[ ! -x \"$runner\" ] || exec \"$runner\" ")
      script.add(word: ByteString(records))
      script.add(" \"$@\"\n")
    }
    script.add("exec \"$@\"\n")
    bytes = script.bytes
  }

  private static func marks(in work: JobWork) -> (host: Bool, threads: Bool) {
    guard case .shell(let text) = work else { return (false, false) }
    return (text.contains("%hostfile%"), text.contains("%threads%"))
  }

  /// A line for each core that the job has on a host.
  private static func hostFileLines(_ file: String?) -> String {
    let path = file.map { shellQuoted($0) } ?? "\"$PWD/hostfile-$SLURM_JOB_ID\""
    return """
      SPUNNEL_HOSTFILE=\(path)
      export SPUNNEL_HOSTFILE
      scontrol show hostnames "$SLURM_JOB_NODELIST" | awk -v cpus="$SLURM_JOB_CPUS_PER_NODE" '
        BEGIN {
          n = split(cpus, part, ",")
          for (i = 1; i <= n; i++) {
            c = part[i]; times = 1
            if (match(c, /\\(x[0-9]+\\)/)) { times = substr(c, RSTART + 2, RLENGTH - 3); c = substr(c, 1, RSTART - 1) }
            while (times-- > 0) count[++m] = c
          }
        }
        { for (i = 0; i < count[NR]; i++) print }' >"$SPUNNEL_HOSTFILE"

      """
  }

  private struct Writer {
    var bytes: [UInt8] = []

    mutating func add(_ text: String) { bytes += text.utf8 }

    /// What stands in single quotes is taken literally, whatever it is.
    mutating func add(word: ByteString) {
      bytes.append(UInt8(ascii: "'"))
      for byte in word.bytes {
        if byte == UInt8(ascii: "'") { add("'\\''") } else { bytes.append(byte) }
      }
      bytes.append(UInt8(ascii: "'"))
    }
  }
}

extension String {
  /// Puts another text wherever some text stands.
  fileprivate func replacing(_ mark: String, with text: String) -> String {
    var result: [UInt8] = []
    var rest = Array(utf8)[...]
    let pattern = Array(mark.utf8)
    while let byte = rest.first {
      if rest.starts(with: pattern) {
        result += text.utf8
        rest = rest.dropFirst(pattern.count)
      } else {
        result.append(byte)
        rest = rest.dropFirst()
      }
    }
    return String(decoding: result, as: UTF8.self)
  }

  fileprivate func contains(_ mark: String) -> Bool {
    self != replacing(mark, with: "")
  }
}
