"""One small file of each language, for tests of what is cut out of it."""

from __future__ import annotations

BASH = """\
#!/usr/bin/env bash
set -euo pipefail

HERE=$(dirname "$0")
source "$HERE/lib.sh"

# Says hello.
hello() {
  local name="$1"
  cat <<EOF
Hello $name
EOF
}

for f in *.txt; do
  hello "$f"
done
"""

C = """\
/* License. */
#ifndef A_H
#define A_H

#include <stdio.h>
#include "b.h"

#define MAX(a, b) \\
    ((a) > (b) ? (a) : (b))

typedef struct node {
    int value;
    struct node *next;
} node_t;

static int
count(const node_t *n)
{
    int i = 0;
    while (n) { i++; n = n->next; }
    return i;
}

int main(int argc, char **argv) {
    printf("%d\\n", count(NULL));
    return 0;
}

#endif
"""

C_SHARP = """\
using System;
using System.Linq;

namespace Acme.Store;

/// <summary>A shop.</summary>
[Serializable]
public class Shop : Base
{
    private readonly int _n;

    public string Name { get; set; }

    public int Left
    {
        get { return _n; }
        set { _n = value; }
    }

    [Obsolete]
    public async Task<int> CountAsync(string name)
    {
        await Task.Delay(1);
        return _n;
    }
}
"""

C_PLUS_PLUS = """\
#include <vector>
using namespace std;

namespace acme {

template <typename T>
class Shop : public Base {
 public:
  explicit Shop(int n) : n_(n) {}

  // Counts.
  int count() const {
    return n_;
  }

 private:
  int n_;
  std::vector<T> all_;
};

template <typename T>
T biggest(T a, T b) {
  return a > b ? a : b;
}

int Shop<int>::other(int x) {
  auto f = [&](int y) {
    return x + y;
  };
  return f(1);
}

}  // namespace acme
"""

GO = """\
// Package shop sells.
package shop

import (
	"fmt"
	"os"
)

type Shop struct {
	Name string
	// Stock counts.
	Stock map[string]int
}

// Left says how many are left.
func (s *Shop) Left(name string) (int, error) {
	if s == nil {
		return 0, fmt.Errorf("no shop")
	}
	return s.Stock[name], nil
}

const (
	A = iota
	B
)
"""

JAVA = """\
package com.acme.store;

import java.util.List;
import java.util.Map;

/**
 * A shop.
 */
@Service
public class Shop extends Base implements Closeable {
    private static final int LIMIT = 10;
    private final Map<String, Integer> stock;

    public Shop(Map<String, Integer> stock) {
        this.stock = stock;
    }

    /** How many are left. */
    @Override
    public int left(String name) {
        return stock.getOrDefault(name, 0);
    }

    static class Inner {
        void run() {
            System.out.println("x");
        }
    }
}

interface Door {
    void open();
    void close();
}
"""

JAVASCRIPT = """\
'use strict';
const fs = require('fs');
const path = require('path');

/** Adds. */
function add(a, b) {
  return a + b;
}

module.exports.sub = function (a, b) {
  return a - b;
};

describe('add', () => {
  beforeEach(() => {
    reset();
  });

  it('adds', () => {
    expect(add(1, 2)).toBe(3);
  });
});

const api = {
  get(x) {
    return x;
  },
  put: async (y) => {
    await y;
  },
};
"""

PHP = """\
<?php
declare(strict_types=1);

namespace Acme\\Store;

use Acme\\Base;
use Psr\\Log\\LoggerInterface;

/**
 * A shop.
 */
#[Entity]
final class Shop extends Base
{
    private array $stock = [];

    public function __construct(private LoggerInterface $log)
    {
        $this->log->info('open');
    }

    /** How many. */
    public function left(string $name): int
    {
        return $this->stock[$name] ?? 0;
    }
}

function helper($a) {
    return $a;
}
?>
<p>Hello</p>
"""

PYTHON = '''\
"""A shop."""

from __future__ import annotations

import os
import sys

LIMIT = 10


# How a shop fails.
class ShopError(Exception):
    """It is closed."""


@dataclass(frozen=True)
class Shop(Base):
    """A shop."""

    name: str
    stock: dict[str, int]

    # How many are left.
    @property
    def left(self) -> int:
        """Count them."""
        return sum(self.stock.values())

    async def open(self, *, at: str = "8:00") -> None:
        await self.door.open(at)

    class Inner:
        def run(self):
            return """a
b"""


if __name__ == "__main__":
    main(sys.argv)
'''

RUBY = """\
# frozen_string_literal: true
require 'json'
require_relative 'b'

module Acme
  # A shop.
  class Shop < Base
    attr_reader :name, :stock
    LIMIT = 10

    def initialize(name)
      @name = name
    end

    # How many.
    def left(name)
      stock.fetch(name) { 0 }
    end

    def self.open
      new(<<~TEXT)
        Hello
      TEXT
    end
  end
end
"""

RUST = """\
use std::collections::HashMap;
use crate::a::{b, c};

/// A shop.
#[derive(Debug, Clone)]
pub struct Shop {
    pub name: String,
}

impl<T> Shop<T> where T: Clone {
    /// How many.
    #[inline]
    pub fn left(&self, name: &str) -> usize {
        self.stock.get(name).copied().unwrap_or(0)
    }

    pub fn new() -> Self {
        Self { name: String::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_works() {
        assert_eq!(2, 1 + 1);
    }
}

macro_rules! hey {
    () => {
        println!("hey");
    };
}
"""

TSX = """\
import React from "react";

type Props = { name: string };

export function Hello({ name }: Props) {
  const [n, setN] = React.useState<number>(0);
  return (
    <div onClick={() => setN(n + 1)}>
      Hello, {name}!
    </div>
  );
}

export default class Page extends React.Component<Props> {
  render() {
    return <Hello name="you" />;
  }
}
"""

TYPESCRIPT = """\
import { a } from "./a";
import type { B } from './b';

export interface Props {
  name: string;
  size?: number;
}

export const add = (x: number, y: number): number => {
  return x + y;
};

@Component({ selector: "app" })
export class App<T> {
  private items: T[] = [];

  @Input() name: string;

  constructor(private readonly store: Store) {
    super();
  }

  handle = async () => {
    await this.store.save();
  };

  get size(): number {
    return this.items.length;
  }
}

namespace Inner {
  export function f() {
    return 1;
  }
}
"""

SNIPPETS = {
    "bash": BASH,
    "c": C,
    "c#": C_SHARP,
    "c++": C_PLUS_PLUS,
    "go": GO,
    "java": JAVA,
    "javascript": JAVASCRIPT,
    "php": PHP,
    "python": PYTHON,
    "ruby": RUBY,
    "rust": RUST,
    "tsx": TSX,
    "typescript": TYPESCRIPT,
}
