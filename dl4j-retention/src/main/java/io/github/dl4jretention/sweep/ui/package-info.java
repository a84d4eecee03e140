/**
 * A sweep while it runs, as a page of DL4J's user interface. Needs deeplearning4j-ui. Calls the sweep, its outcome and
 * its report.
 */
package io.github.dl4jretention.sweep.ui;
