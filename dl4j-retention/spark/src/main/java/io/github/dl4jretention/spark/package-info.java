/**
 * Sweeps, comparisons, teacher caches and training on a Spark cluster. {@link
 * io.github.dl4jretention.spark.SparkSweep} is where to start. Calls sweeps, the core and its internal package, Arbiter, DL4J,
 * ND4J, Spark and Hadoop's file systems; nothing calls it.
 */
@NullMarked
package io.github.dl4jretention.spark;

import org.jspecify.annotations.NullMarked;
