/** The local lane of the workload <i>wordcount</i>: words per tumbling event-time window. */
package io.spillway.jobs.wordcount;
