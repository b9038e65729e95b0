package io.spillway.jobs.wordcount;

import java.nio.charset.StandardCharsets;
import java.util.Locale;
import java.util.function.Consumer;

/**
 * Splits a record into words: decoded as UTF-8 (what is invalid becomes U+FFFD), lower-cased with
 * {@link Locale#ROOT}, cut at every run of characters outside {@code [A-Za-z0-9_]}. The burst
 * function does the same; {@code proto/vectors/wordcount.json} holds the two together.
 */
final class Words {
  private Words() {}

  /**
   * Hands each word to a consumer, in order.
   *
   * @return how many there were
   */
  static int forEach(byte[] record, Consumer<String> consumer) {
    // First lower case, then the cut: U+212A, for one, is a letter only then.
    String text = new String(record, StandardCharsets.UTF_8).toLowerCase(Locale.ROOT);
    int length = text.length();
    int count = 0;
    int position = 0;
    while (position < length) {
      while (position < length && !isPartOfWord(text.charAt(position))) {
        position++;
      }
      int start = position;
      while (position < length && isPartOfWord(text.charAt(position))) {
        position++;
      }
      if (position > start) {
        consumer.accept(text.substring(start, position));
        count++;
      }
    }
    return count;
  }

  /** Upper case is gone by now. */
  private static boolean isPartOfWord(char c) {
    return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '_';
  }
}
