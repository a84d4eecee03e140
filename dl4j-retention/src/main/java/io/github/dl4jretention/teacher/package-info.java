/**
 * The teacher: a frozen copy of a network, its identity, and the iterator that adds its log-probabilities to labels.
 * Calls the loss package for the form of labels, DL4J and ND4J.
 */
package io.github.dl4jretention.teacher;
