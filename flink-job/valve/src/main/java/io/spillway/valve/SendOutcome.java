package io.spillway.valve;

import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.concurrent.CompletionException;
import javax.annotation.Nullable;
import org.apache.flink.util.ExceptionUtils;

/** What an answer to a batch means for the batch. */
sealed interface SendOutcome {

  /** The cloud has it: this line goes into the ledger. */
  record Settled(String receipt) implements SendOutcome {}

  /** The same bytes will not fare better: back to the local lane. */
  record Bounce(String reason) implements SendOutcome {}

  /** It may go better, or may have gone well unseen: again under the same id. */
  record Retry(String reason, @Nullable Duration after) implements SendOutcome {}

  /** Whether the sidecar refused the token, for which someone has to do something. */
  static boolean unauthorized(@Nullable BatchSender.Answer answer) {
    return answer != null && (answer.status() == 401 || answer.status() == 403);
  }

  /**
   * Classifies an answer; the one place where that is done (proto/README.md, "Batch").
   *
   * @param answer null if there is none
   * @param failure why there is none
   */
  static SendOutcome of(
      @Nullable BatchSender.Answer answer,
      @Nullable Throwable failure,
      SealedBatch batch,
      ValveConfig config) {
    if (answer == null) {
      Throwable cause =
          ExceptionUtils.stripException(
              failure == null ? new IllegalStateException("no answer") : failure,
              CompletionException.class);
      return new Retry(cause.toString(), null);
    }
    int status = answer.status();
    if (status == 200) {
      Receipt.Check check = Receipt.check(answer.body(), batch, config);
      return check.misfit() == null
          ? new Settled(check.line())
          : new Bounce("its receipt does not fit: " + check.misfit());
    } else if (status == 429 || status == 503) {
      return new Retry(describe(answer), answer.retryAfter());
    } else if (status >= 500) {
      return new Retry(describe(answer), null);
    } else {
      return new Bounce(describe(answer));
    }
  }

  private static String describe(BatchSender.Answer answer) {
    String body = new String(answer.body(), StandardCharsets.UTF_8).strip();
    return "status "
        + answer.status()
        + (body.isEmpty() ? "" : ": " + body.substring(0, Math.min(body.length(), 300)));
  }
}
