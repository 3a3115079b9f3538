// Finds the known word that a user probably meant, for error messages.

/// The known word that the user probably meant, for words other than options.
package func nearestWord(to typed: String, among known: [String]) -> String? {
  Nearest.word(to: typed, among: known)
}

enum Nearest {
  /// The known word that begins with the typed word, or differs from it by a typing error.
  ///
  /// - Returns: `nil` when no known word is similar
  static func word(to typed: String, among known: [String]) -> String? {
    let letters = typed.drop { $0 == "-" }
    if letters.isEmpty { return nil }
    let longer = known.filter { $0.hasPrefix(typed) }
    if let only = longer.first, longer.count == 1, letters.count > 1 { return only }
    // At most a third of the letters may differ, so that short words stay distinct.
    let limit = min(3, max(1, letters.count / 3))
    let near = known.map { (word: $0, slips: slips(typed, $0)) }.filter { $0.slips <= limit }
    return near.min { $0.slips < $1.slips }?.word
  }

  /// The number of insertions, deletions, changes and swaps of neighbours (the Damerau–Levenshtein
  /// distance, each letter edited once).
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
