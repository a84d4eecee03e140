/**
 * Makes one model out of several of the same architecture, without data: averages, interpolations, task vectors.
 * Works in memory, or on model files with one parameter of each model in memory at a time. Calls the loss package to
 * recognise students, the internal package, DL4J and ND4J.
 */
@NullMarked
package io.github.dl4jretention.merge;

import org.jspecify.annotations.NullMarked;
