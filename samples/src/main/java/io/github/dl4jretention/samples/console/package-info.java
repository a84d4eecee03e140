/** What a person running a sample sees: progress and a quiet screen. Calls nothing else of the samples. */
package io.github.dl4jretention.samples.console;
