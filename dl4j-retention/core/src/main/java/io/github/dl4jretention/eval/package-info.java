/** How good a model is on a text and how far it has moved. Calls the teacher and the loss packages, DL4J and ND4J. */
package io.github.dl4jretention.eval;
