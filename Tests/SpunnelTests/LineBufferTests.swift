import Testing

@testable import SpunnelSystem

@Suite struct LineBufferTests {
  private func lines(_ buffer: inout LineBuffer) -> [String] {
    var found: [String] = []
    while let line = buffer.next() { found.append(line) }
    return found
  }

  @Test func givesLinesHoweverTheyArrive() {
    var buffer = LineBuffer(longest: 100)
    var found: [String] = []
    for piece in ["on", "e\ntw", "o\n\nthr", "ee"] {
      buffer.append(Array(piece.utf8))
      found += lines(&buffer)
    }
    #expect(found == ["one", "two", ""])
    #expect(buffer.rest == "three")
    buffer.append([10])
    #expect(lines(&buffer) == ["three"])
    #expect(buffer.rest.isEmpty)
  }

  @Test func takesReturnsForEndsOnlyWhereTold() {
    var plain = LineBuffer(longest: 100)
    plain.append(Array("a\rb\n".utf8))
    #expect(lines(&plain) == ["a\rb"])
    var terminal = LineBuffer(longest: 100, returnsEndLines: true)
    terminal.append(Array("a\rb\n".utf8))
    #expect(lines(&terminal) == ["a", "b"])
  }

  @Test func holdsNoLineThatIsTooLong() {
    var buffer = LineBuffer(longest: 4)
    buffer.append(Array("four\n".utf8))
    #expect(!buffer.isOverlong)
    #expect(lines(&buffer) == ["four"])
    buffer.append(Array("five5".utf8))
    #expect(lines(&buffer) == [])
    #expect(buffer.isOverlong)
    buffer.drop()
    #expect(!buffer.isOverlong)
    buffer.append(Array("ok\n".utf8))
    #expect(lines(&buffer) == ["ok"])
  }

  /// A line that is too long and whole is none either.
  @Test func givesNoWholeLineThatIsTooLong() {
    var buffer = LineBuffer(longest: 4)
    buffer.append(Array("five5\n".utf8))
    #expect(lines(&buffer) == [])
    #expect(buffer.isOverlong)
  }
}
