/**
 * The valve: the operator that sends each record of a Flink job down the local lane or into a batch
 * for the cloud lane, exactly once.
 */
package io.spillway.valve;
