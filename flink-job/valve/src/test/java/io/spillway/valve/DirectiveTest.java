package io.spillway.valve;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Directives as the sidecar writes them. */
class DirectiveTest {

  private static final String GOOD =
      """
      {"local_rate": 120000.0, "divert": true, "credits": 8, "lease_ms": 2000, "mode": "armed",
       "reason": "why", "new_field": {"x": 1}}""";

  private static Directive parse(String json) throws IOException {
    return Directive.parse(json.getBytes(StandardCharsets.UTF_8));
  }

  @Test
  void aDirectiveIsReadAndUnknownFieldsAreIgnored() throws IOException {
    assertThat(parse(GOOD)).isEqualTo(new Directive(120_000, true, 8, 2_000, "armed", "why"));
  }

  @Test
  void noLocalRateMeansNoLimit() throws IOException {
    assertThat(parse(GOOD.replace("120000.0", "null")).localRate())
        .isEqualTo(Double.POSITIVE_INFINITY);
  }

  @ParameterizedTest
  @CsvSource({
    "120000.0, -1",
    "120000.0, '\"1\"'",
    "true, 1",
    "8, 1025",
    "8, -1",
    "8, 1.5",
    "2000, 0",
    "2000, 60001",
    "'\"armed\"', '\"other\"'",
    "'\"why\"', 7",
    "'\"divert\"', '\"diverted\"'",
    "'\"credits\"', '\"credit\"'",
  })
  void whatBreaksABoundIsRefused(String part, String by) {
    assertThatThrownBy(() -> parse(GOOD.replace(part, by))).isInstanceOf(IOException.class);
  }

  @Test
  void whatIsNoJsonObjectIsRefused() {
    assertThatThrownBy(() -> parse("[]")).isInstanceOf(IOException.class);
    assertThatThrownBy(() -> parse("")).isInstanceOf(IOException.class);
    assertThatThrownBy(() -> parse(GOOD + "x")).isInstanceOf(IOException.class);
  }
}
