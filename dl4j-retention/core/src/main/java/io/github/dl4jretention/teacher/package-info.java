/**
 * The teacher: frozen copies of networks, mixtures and averages of them, their identity, and the iterators that add
 * their log-probabilities to labels. Calls the loss package for the form of labels, the internal package, DL4J and ND4J.
 */
package io.github.dl4jretention.teacher;
