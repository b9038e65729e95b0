/** How long records take in each lane, from when they were due. */
package io.spillway.valve.latency;
