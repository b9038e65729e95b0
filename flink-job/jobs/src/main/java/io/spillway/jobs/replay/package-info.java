/**
 * A source that replays the lines of a text file at a given rate: bounded, exact, and to be stopped
 * and resumed anywhere.
 *
 * <p>Each record has a due time. The source emits it then, or as soon after as the job lets it, and
 * its event time says when it was due: so latency counts from when a record was due, also when the
 * job holds the source back.
 */
package io.spillway.jobs.replay;
