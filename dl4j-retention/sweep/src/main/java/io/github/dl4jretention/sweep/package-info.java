/**
 * The sweep: from a model, texts and a space to a folder with candidates, a report and an operating point. Calls its
 * own subpackages, the internal package, Arbiter, DL4J and ND4J.
 */
package io.github.dl4jretention.sweep;
