/**
 * Merging the parameters of networks of one architecture, without data: averages, interpolations and task vectors. In
 * memory, or from model files with one parameter of each model in memory at a time. Calls the loss package to recognise
 * students, the internal package, DL4J and ND4J.
 */
package io.github.dl4jretention.merge;
