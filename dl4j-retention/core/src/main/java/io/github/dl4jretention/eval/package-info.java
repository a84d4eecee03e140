/**
 * How well a model predicts a text, and how far it has moved from its teacher. Calls the teacher and loss packages,
 * DL4J and ND4J.
 */
@NullMarked
package io.github.dl4jretention.eval;

import org.jspecify.annotations.NullMarked;
