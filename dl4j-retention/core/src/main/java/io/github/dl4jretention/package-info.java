/** The front door, {@link io.github.dl4jretention.Retention}. May call every package of this library. */
package io.github.dl4jretention;
