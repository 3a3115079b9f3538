// The known word that was probably meant: what an error asks about.

/// The known word that was probably meant, for words that are no options.
package func nearestWord(to typed: String, among known: [String]) -> String? {
  Nearest.word(to: typed, among: known)
}

enum Nearest {
  /// The word that begins as the typed one does or is a slip of the keyboard away.
  ///
  /// - Returns: `nil` when nothing is near
  static func word(to typed: String, among known: [String]) -> String? {
    let letters = typed.drop { $0 == "-" }
    if letters.isEmpty { return nil }
    let longer = known.filter { $0.hasPrefix(typed) }
    if let only = longer.first, longer.count == 1, letters.count > 1 { return only }
    // A third of the word at most, so that short words are not taken for each other.
    let limit = min(3, max(1, letters.count / 3))
    let near = known.map { (word: $0, slips: slips(typed, $0)) }.filter { $0.slips <= limit }
    return near.min { $0.slips < $1.slips }?.word
  }

  /// Letters that must be put in, taken out, changed or swapped with their neighbour (the distance of
  /// Damerau and Levenshtein, each letter touched once).
  static func slips(_ left: String, _ right: String) -> Int {
    let (left, right) = (Array(left.prefix(64)), Array(right.prefix(64)))
    var beforeLast = [Int](), last = Array(0...right.count)
    for row in 0..<left.count {
      var current = [row + 1]
      for column in 0..<right.count {
        let isSame = left[row] == right[column]
        var best = min(last[column] + (isSame ? 0 : 1), last[column + 1] + 1, current[column] + 1)
        if row > 0, column > 0, left[row] == right[column - 1], left[row - 1] == right[column] {
          best = min(best, beforeLast[column - 1] + 1)
        }
        current.append(best)
      }
      (beforeLast, last) = (last, current)
    }
    return last[right.count]
  }
}
