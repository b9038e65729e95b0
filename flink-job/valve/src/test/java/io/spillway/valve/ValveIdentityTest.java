package io.spillway.valve;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class ValveIdentityTest {

  @Test
  void theAttemptIsTheHeadOfTheHashOfExecutionAndValve() {
    // printf 'execution/valve' | sha256sum
    assertThat(ValveIdentity.of("execution", "valve", 2, 3))
        .isEqualTo(new ValveIdentity("ded944474452bb58", 2, 3));
  }

  @Test
  void twoValvesInOneTaskHaveBatchesOfTheirOwn() {
    String one = ValveIdentity.of("execution", "one", 0, 1).batchId(0);
    String two = ValveIdentity.of("execution", "two", 0, 1).batchId(0);
    assertThat(one).isNotEqualTo(two);
  }
}
