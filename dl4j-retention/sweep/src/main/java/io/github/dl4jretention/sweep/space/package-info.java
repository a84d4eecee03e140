/**
 * What a sweep can vary, as Arbiter's parameter spaces, how candidates are drawn from it, and what one candidate is.
 * Calls the loss package, Arbiter, DL4J and ND4J.
 */
package io.github.dl4jretention.sweep.space;
