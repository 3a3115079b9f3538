// What spunnel-jobs answers, read piece by piece.

import SpunnelSlurm
import Testing

@Suite struct SlurmHelperTests {
  /// Reads an answer in pieces of so many bytes.
  private func read(
    _ text: String, kind: String = "jobs", piece: Int = 1 << 20
  ) throws -> [[String]] {
    var reader = RecordReader(kind: kind)
    var found: [[String]] = []
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
      try reader.take(Array(rest.prefix(piece))) { record in
        found.append(["id", "name"].map { record.text($0) })
      }
      rest = rest.dropFirst(piece)
    }
    try reader.end()
    return found
  }

  private let whole = "F\tspunnel-jobs\t1\tjobs\nC\tid\tname\nR\t12\ta b\nR\t13\t\nE\t2\n"

  @Test(arguments: [1, 2, 7, 1 << 20]) func anAnswerIsReadInPiecesOfAnySize(piece: Int) throws {
    #expect(try read(whole, piece: piece) == [["12", "a b"], ["13", ""]])
  }

  @Test func escapesAreUndoneAndNoOtherBackslashIs() throws {
    let text = "F\tspunnel-jobs\t1\tjobs\nC\tid\tname\nR\t1\t\\x09\\x0aR\\x5cx09\\xzz\nE\t1\n"
    #expect(try read(text) == [["1", "\t\nR\\x09\\xzz"]])
  }

  @Test(arguments: [
    "", "F\tspunnel-jobs\t1\tjobs\n", "F\tspunnel-jobs\t1\tjobs\nC\tid\tname\nR\t12\tx\n",
    "F\tspunnel-jobs\t1\tjobs\nC\tid\tname\nR\t12\tx\nE\t2\n",
    "F\tspunnel-jobs\t1\tjobs\nC\tid\tname\nE\t0", "F\tspunnel-jobs\t1\tjobs\nC\tid\tname\nE\tx\n",
  ]) func anAnswerThatWasCutIsNoAnswer(text: String) {
    #expect(throws: RecordReader.Problem.cut) { try read(text) }
  }

  @Test(arguments: [
    ("x\n", 1), ("F\tspunnel-jobs\t1\tnodes\n", 1), ("C\tid\n", 1),
    ("F\tspunnel-jobs\t1\tjobs\nR\t12\n", 2),
    ("F\tspunnel-jobs\t1\tjobs\nC\tid\tname\nR\t12\n", 3),
    ("F\tspunnel-jobs\t1\tjobs\nC\tid\tname\nR\t12\tx\ty\n", 3),
    ("F\tspunnel-jobs\t1\tjobs\nC\tid\tname\nE\t0\nR\t12\tx\n", 4),
  ]) func aLineOfAnotherFormIsNamed(text: String, line: Int) {
    #expect(throws: RecordReader.Problem.line(line)) { try read(text) }
  }

  @Test func anotherFormatIsNamed() {
    #expect(throws: RecordReader.Problem.format("2")) {
      try read("F\tspunnel-jobs\t2\tjobs\n")
    }
  }

  @Test(arguments: [
    ("5", 5), ("-3", -3), ("0", 0), ("", nil), ("-", nil), ("5x", nil), ("unlimited", nil),
    ("9999999999999999999", nil),
  ]) func numbersAreReadStrictly(text: String, number: Int?) throws {
    var found: [Int?] = []
    var reader = RecordReader(kind: "jobs")
    try reader.take(Array("F\tspunnel-jobs\t1\tjobs\nC\tid\nR\t\(text)\nE\t1\n".utf8)) {
      found.append($0.number("id"))
    }
    #expect(found == [number])
  }

  @Test func aJobIsNamedAsSlurmNamesIt() {
    var job = JobInfo(id: 20, user: 1000, phase: .pending)
    #expect(job.label == "20")
    job.array = 12
    job.tasks = "1-4"
    job.throttle = 2
    #expect(job.label == "12_[1-4%2]")
    job.task = 3
    #expect(job.label == "12_3")
    job.array = nil
    (job.het, job.component) = (20, 1)
    #expect(job.label == "20+1")
  }
}
