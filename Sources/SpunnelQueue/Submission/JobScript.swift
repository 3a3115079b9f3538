// The batch script that runs a command line. Its words are quoted, so that the shell does not
// interpret them.

import SpunnelSystem

/// The work of a job.
package enum JobWork: Equatable, Sendable {
  /// A program and its arguments, as the user typed them.
  case words([ByteString])
  /// A command for a shell, as in a job file.
  case shell(String)
}

/// The text of a batch script, for sbatch's standard input.
package struct JobScript: Equatable, Sendable {
  package let bytes: [UInt8]

  /// - Parameters:
  ///   - work: what the job runs
  ///   - runner: the path of spunnel-run; if a node does not have it, the job runs without it
  ///   - records: the folder for the note of spunnel-run
  ///   - hostFile: the path that `%hostfile%` gets; `nil` for a file of the job's own
  ///   - threads: the value of `%threads%`
  ///   - lines: a file with one line for each task of the array; the line is in `$SPUNNEL_LINE`,
  ///     and replaces a word `{}`
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
      if replaced.utf8.count < JobScript.longestWord {
        script.add(" /bin/sh -c ")
        script.add(word: ByteString(replaced))
      } else {
        // execve(2) takes no longer word: the shell reads the command from a here-document.
        script.add(" /bin/sh /dev/fd/9")
        let end = JobScript.mark(notIn: replaced)
        script.add("\nexec 9<<'\(end)'\n\(replaced)\n\(end)")
      }
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

  /// execve(2), MAX_ARG_STRLEN.
  private static let longestWord = 131_072

  /// A line that the text does not have.
  private static func mark(notIn text: String) -> String {
    var mark = "END_OF_COMMAND"
    while text.mentions(mark) { mark += "_" }
    return mark
  }

  private static func marks(in work: JobWork) -> (host: Bool, threads: Bool) {
    guard case .shell(let text) = work else { return (false, false) }
    return (text.contains("%hostfile%"), text.contains("%threads%"))
  }

  /// Shell lines that write a host file: one line for each core that the job has on a host.
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

    /// Adds a word in single quotes, which the shell takes literally.
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
  /// Replaces each occurrence of a text.
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
